"""Three commands to a mongod on loopback, with nothing but Python's own library.

mongo_admin.py PORT ping            waits until it answers
mongo_admin.py PORT initiate        makes it a replica set of one and waits until it is primary
mongo_admin.py PORT administrator   creates the user root / s3cret (allowed once, from loopback)
"""
import socket
import struct
import sys
import time

OP_MSG = 2013
OK = b"\x01ok\0" + struct.pack("<d", 1.0)
PRIMARY = b"\x08isWritablePrimary\0\x01"


def bson(document):
    out = b""
    for key, value in document.items():
        name = key.encode() + b"\0"
        if isinstance(value, int):
            out += b"\x10" + name + struct.pack("<i", value)
        elif isinstance(value, str):
            text = value.encode() + b"\0"
            out += b"\x02" + name + struct.pack("<i", len(text)) + text
        elif isinstance(value, dict):
            out += b"\x03" + name + bson(value)
        else:
            out += b"\x04" + name + bson({str(i): item for i, item in enumerate(value)})
    return struct.pack("<i", len(out) + 5) + out + b"\0"


def command(port, document):
    body = b"\0\0\0\0\0" + bson({**document, "$db": "admin"})
    with socket.create_connection(("127.0.0.1", port), 5) as server:
        server.sendall(struct.pack("<iiii", 16 + len(body), 1, 0, OP_MSG) + body)
        reply = b""
        while len(reply) < 4 or len(reply) < struct.unpack("<i", reply[:4])[0]:
            more = server.recv(65536)
            if not more:
                raise OSError("closed by the server")
            reply += more
    return reply[21:]


def until(what, true):
    end = time.monotonic() + 60
    while True:
        try:
            if true():
                return
        except OSError:
            pass
        if time.monotonic() > end:
            sys.exit(f"mongod: {what} did not happen within a minute")
        time.sleep(0.05)


def main(port, verb):
    until("an answer", lambda: OK in command(port, {"ping": 1}))
    if verb == "initiate":
        members = [{"_id": 0, "host": f"127.0.0.1:{port}"}]
        reply = command(port, {"replSetInitiate": {"_id": "rs0", "members": members}})
        if OK not in reply and b"already initialized" not in reply:
            sys.exit(f"mongod: {reply!r}")
        until("an election", lambda: PRIMARY in command(port, {"hello": 1}))
    elif verb == "administrator":
        reply = command(port, {"createUser": "root", "pwd": "s3cret", "roles": ["root"]})
        if OK not in reply:
            sys.exit(f"mongod: {reply!r}")


main(int(sys.argv[1]), sys.argv[2])
