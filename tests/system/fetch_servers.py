# SPDX-License-Identifier: Apache-2.0
"""Servers for test_fetcher.py, good and bad ones: HTTP with a path for each way to misbehave, and
as much of FTP as a download needs. All listen on a port of the system's choice and end with it."""
import http.server
import os
import socket
import socketserver
import ssl
import threading

STUCK_S = 60  # how long a bad server would hang; its end comes first


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        path = self.path.split("?")[0]
        with self.server.lock:
            self.server.requests.append(path)
        try:
            getattr(self, "serve_" + path.split("/")[1], self.serve_missing)(path)
        except OSError:
            self.close_connection = True

    def body(self, content, **headers):
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def redirect(self, to):
        self.send_response(302)
        self.send_header("Location", to)
        self.send_header("Content-Length", "9")
        self.end_headers()
        self.wfile.write(b"elsewhere")

    def serve_missing(self, path):
        self.send_error(404)

    def serve_f(self, path):
        content = self.server.files.get(path[3:])
        if content is None:
            self.send_error(404)
        else:
            self.body(content)

    def serve_auth(self, path):
        if self.headers.get("Authorization") == "Basic dTpzZWNyZXQ=":  # u:secret
            self.body(b"private")
        else:
            self.send_error(401)

    def serve_hop(self, path):
        n = int(path.split("/")[2])
        self.redirect("/hop/%d/x" % (n - 1) if n > 0 else "/f/small")

    def serve_loop(self, path):
        self.redirect(path)

    def serve_tofile(self, path):
        self.redirect("file:///etc/hostname")

    def serve_hang(self, path):
        self.server.stopping.wait(STUCK_S)

    def serve_drip(self, path):
        """Headers that never end."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not self.server.stopping.wait(0.2):
            self.wfile.write(b"X-More: yes\r\n")

    def serve_stall(self, path):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"begin")
        self.server.stopping.wait(STUCK_S)

    def serve_short(self, path):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"begin")
        self.close_connection = True

    def serve_endless(self, path):
        """No length, no end."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        while not self.server.stopping.is_set():
            self.wfile.write(b"x" * 65536)

    def serve_huge(self, path):
        """The length alone says that it is too much."""
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 60))
        self.end_headers()
        self.server.stopping.wait(STUCK_S)

    def serve_gate(self, path):
        """Answers when the test says so."""
        self.server.reached.set()
        self.server.gate.wait(STUCK_S)
        self.body(self.server.files["small"])

    def serve_garbage(self, path):
        self.wfile.write(b"this is no HTTP\r\n\r\n")
        self.close_connection = True


class Web(http.server.ThreadingHTTPServer):
    request_queue_size = 64

    def __init__(self, files, cert=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.requests, self.lock = files, [], threading.Lock()
        self.stopping, self.gate = threading.Event(), threading.Event()
        self.reached = threading.Event()
        self.scheme = "http"
        if cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(cert)
            self.socket = context.wrap_socket(self.socket, server_side=True,
                                              do_handshake_on_connect=False)
            self.scheme = "https"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass

    def url(self, path, user=""):
        return "%s://%s127.0.0.1:%d/%s" % (self.scheme, user, self.server_address[1], path)

    def count(self, path):
        with self.lock:
            return self.requests.count(path)

    def stop(self):
        self.stopping.set()
        self.gate.set()
        self.shutdown()
        self.server_close()


class FtpHandler(socketserver.StreamRequestHandler):
    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        data = None
        self.say("220 ready")
        for line in self.rfile:
            verb, _, rest = line.decode().strip().partition(" ")
            name = os.path.basename(rest)
            content = self.server.files.get(name)
            if verb == "EPSV":
                data = socket.create_server(("127.0.0.1", 0))
                self.say("229 here (|||%d|)" % data.getsockname()[1])
            elif verb in ("SIZE", "RETR") and content is None:
                self.say("550 no such file")
            elif verb == "SIZE":
                self.say("213 %d" % len(content))
            elif verb == "RETR":
                self.say("150 it comes")
                connection = data.accept()[0]
                connection.sendall(content)
                connection.close()
                data.close()
                self.say("226 done")
            else:
                self.say({"USER": "331 and?", "PASS": "230 in", "PWD": '257 "/"',
                          "TYPE": "200 fine", "CWD": "250 fine"}.get(verb, "502 no"))


class Ftp(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), FtpHandler)
        self.files = files
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass

    def url(self, path):
        return "ftp://u:secret@127.0.0.1:%d/%s" % (self.server_address[1], path)

    def stop(self):
        self.shutdown()
        self.server_close()
