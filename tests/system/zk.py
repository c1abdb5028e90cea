# SPDX-License-Identifier: Apache-2.0
"""A small client of ZooKeeper for tests: it spoils and mends the nodes of a cluster from outside.

Blocking, one session, no watches. `Zk(port, auth=b"user:password")`; an error is a ZkError whose
`code` is ZooKeeper's. Also flat(): a FlatBuffer with one table of numbers, for nodes that a master
of another version could have written.
"""
import re
import socket
import struct
import time

OPEN = ((31, "world", "anyone"),)
OWN = ((31, "auth", ""), (1, "world", "anyone"))
READ_ONLY = ((1, "world", "anyone"),)

NO_NODE, NODE_EXISTS, NOT_EMPTY, NO_AUTH = -101, -110, -111, -102
CREATE, DELETE, EXISTS, GET, SET, SET_ACL, CHILDREN, PING, AUTH, CLOSE = (1, 2, 3, 4, 5, 7, 8, 11,
                                                                         100, -11)


class ZkError(Exception):
    def __init__(self, code, path):
        super().__init__("ZooKeeper: error %d at %s" % (code, path))
        self.code = code


def pack(data):
    data = data.encode() if isinstance(data, str) else data
    return struct.pack(">i", len(data)) + data


def pack_acl(acl):
    out = struct.pack(">i", len(acl))
    for perms, scheme, name in acl:
        out += struct.pack(">i", perms) + pack(scheme) + pack(name)
    return out


def unpack(data, at=0):
    size = struct.unpack_from(">i", data, at)[0]
    return (data[at + 4:at + 4 + size] if size > 0 else b""), at + 4 + max(size, 0)


class Zk:
    def __init__(self, port, auth=None, timeout=20):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.xid = 0
        self.send(struct.pack(">iqiq", 0, 0, 20000, 0) + pack(b"\0" * 16) + b"\0")
        self.receive()
        if auth is not None:
            self.request(AUTH, struct.pack(">i", 0) + pack("digest") + pack(auth), "auth", xid=-4)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """The session ends, and its ephemeral nodes with it."""
        try:
            self.request(CLOSE, b"", "close")
        except OSError:
            pass
        self.sock.close()

    def send(self, payload):
        self.sock.sendall(struct.pack(">i", len(payload)) + payload)

    def read(self, size):
        out = b""
        while len(out) < size:
            part = self.sock.recv(size - len(out))
            if not part:
                raise ConnectionError("ZooKeeper closed the connection")
            out += part
        return out

    def receive(self):
        return self.read(struct.unpack(">i", self.read(4))[0])

    def request(self, kind, payload, path, xid=None):
        if xid is None:
            self.xid += 1
            xid = self.xid
        self.send(struct.pack(">ii", xid, kind) + payload)
        while True:
            answer = self.receive()
            got, _, code = struct.unpack_from(">iqi", answer)
            if got == xid:
                break
        if code != 0:
            raise ZkError(code, path)
        return answer[16:]

    def create(self, path, data=b"", acl=OPEN, ephemeral=False):
        self.request(CREATE, pack(path) + pack(data) + pack_acl(acl) +
                     struct.pack(">i", 1 if ephemeral else 0), path)

    def delete(self, path):
        self.request(DELETE, pack(path) + struct.pack(">i", -1), path)

    def get(self, path):
        return unpack(self.request(GET, pack(path) + b"\0", path))[0]

    def exists(self, path):
        try:
            self.request(EXISTS, pack(path) + b"\0", path)
            return True
        except ZkError as e:
            if e.code != NO_NODE:
                raise
            return False

    def set(self, path, data):
        self.request(SET, pack(path) + pack(data) + struct.pack(">i", -1), path)

    def set_acl(self, path, acl):
        self.request(SET_ACL, pack(path) + pack_acl(acl) + struct.pack(">i", -1), path)

    def children(self, path):
        answer = self.request(CHILDREN, pack(path) + b"\0", path)
        names, at = [], 4
        for _ in range(struct.unpack_from(">i", answer)[0]):
            name, at = unpack(answer, at)
            names.append(name.decode())
        return sorted(names)

    def wipe(self, path):
        """The node and all below it; others may add and remove meanwhile."""
        end = time.monotonic() + 20
        while True:
            try:
                for name in self.children(path):
                    self.wipe(path + "/" + name)
                self.delete(path)
                return
            except ZkError as e:
                if e.code == NO_NODE:
                    return
                if e.code != NOT_EMPTY or time.monotonic() > end:
                    raise


def flat(**slots):
    """flat(s4=7): a table whose field 4, a 32-bit number, is 7."""
    number = {int(re.sub("^s", "", k)): v for k, v in slots.items()}
    n = max(number) + 1
    vtable = 4 + 2 * n
    pad = -(4 + vtable) % 4
    table = 4 + pad + vtable
    entries, fields = [], b""
    for i in range(n):
        entries.append(4 + len(fields) if i in number else 0)
        fields += struct.pack("<I", number[i]) if i in number else b""
    return (struct.pack("<I", table) + b"\0" * pad +
            struct.pack("<HH", vtable, 4 + len(fields)) + struct.pack("<%dH" % n, *entries) +
            struct.pack("<i", vtable) + fields)
