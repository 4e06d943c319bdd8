"""An S7 peer for tests: the server of Snap7 (C++, in python-snap7 2.0.2) with known contents.

usage: s7_server.py [--port PORT]

Port 0 takes a free one. Once it listens it prints `READY port`. Each line `db NUMBER FROM COUNT` or
`mk 0 FROM COUNT` on standard input is answered with those bytes in hexadecimal; at the end of the
input it ends.

Contents:
    DB1..DB3     7,000 bytes: (address * 7 ^ block * 13 ^ address >> 8) & 255
    DB10         one value of every type at an odd offset, see TYPES
    DB100        500 zeros to write to; a STRING[20] at 201 and a WSTRING[10] at 301
    M, I, Q      256 bytes by the rule of the blocks, as block 0
    T, C         words with their index in decimal digits; the server finds number N at byte N / 2
"""

import argparse
import ctypes
import socket
import struct
import sys

from snap7.server import Server
from snap7.type import SrvArea

# Bytes of DB10 from byte 1 on, in the order of the test's table.
TYPES = b"".join(
    [
        struct.pack(">BbhHiIqQfd", 254, -2, -2, 65534, -2, 4294967294, -2, 2**64 - 2, 25.5, 1e-3),
        bytes([0b0010_0000, 0xFC]),
        bytes([20, 7]) + b"PUMP 07" + bytes(13),
        struct.pack(">HH", 10, 2) + "Ω€".encode("utf-16-be") + bytes(16),
        bytes([0x11, 0x23]),
        struct.pack(">iqIq", -1500, -7, 86399999, 9),
        struct.pack(">H", 12345),
        bytes([0x93, 0x12, 0x25, 0x08, 0x12, 0x34, 0x56, 0x77]),
        struct.pack(">HBBBBBBI", 2024, 2, 29, 5, 23, 59, 58, 9),
        struct.pack(">Q", 1_700_000_000_000_000_009),
        bytes([0xF1, 0x23, 0x12, 0x34, 0x56, 0x78]),
        "€".encode("utf-16-be"),
    ]
)


def by_rule(block, size):
    return bytes((a * 7 ^ block * 13 ^ a >> 8) & 255 for a in range(size))


def digits(number):
    return struct.pack(">H", int(str(number), 16))


def buffer(content):
    return (ctypes.c_uint8 * len(content)).from_buffer_copy(content)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=0)
    options = options.parse_args()

    areas = {("db", block): (SrvArea.DB, block, buffer(by_rule(block, 7000))) for block in (1, 2, 3)}
    areas["db", 10] = (SrvArea.DB, 10, buffer(b"\xaa" + TYPES))
    areas["db", 100] = (SrvArea.DB, 100, buffer(bytes(500)))
    areas["db", 100][2][201] = 20
    areas["db", 100][2][302] = 10
    for name, area in (("mk", SrvArea.MK), ("pe", SrvArea.PE), ("pa", SrvArea.PA)):
        areas[name, 0] = (area, 0, buffer(by_rule(0, 256)))
    for name, area in (("tm", SrvArea.TM), ("ct", SrvArea.CT)):
        areas[name, 0] = (area, 0, buffer(b"".join(digits(number) for number in range(100))))

    server = Server(log=False)
    for area, index, content in areas.values():
        server.register_area(area, index, content)
    port = options.port or free_port()
    server.start_to("127.0.0.1", port)
    print(f"READY {port}", flush=True)
    for line in sys.stdin:
        area, block, start, count = line.split()
        content = bytes(areas[area, int(block)][2])
        print(content[int(start) : int(start) + int(count)].hex(), flush=True)
    server.stop()


main()
