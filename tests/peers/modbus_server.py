"""A Modbus peer for tests: pymodbus devices whose contents follow a known rule.

usage: modbus_server.py [--tcp PORT] [--rtu-over-tcp PORT] [--serial PATH] [options]

Port 0 takes a free one. Once everything listens, one line tells where:
    READY tcp=40123 rtu-over-tcp=40124 serial=/dev/pts/3

Contents of every unit U, in holding and in input registers alike:
    0..999       U * 1000 + address
    1000..1099   C + address - 1000; C counts `--step` milliseconds since the
                 start and is the same for all registers of one answer
    1100..1119   fixed values of all types, see FIXED
    elsewhere    nothing: exception 2
Coils and discrete inputs 0..1999 are set where U + address is odd.
All numbers wrap at 65536. Units that do not exist are answered for with
exception 11, as a gateway does.

`--delay` is for TCP only: pymodbus puts the unit of the newest request into a
late RTU answer, which no client could tell from a right one.
"""

import argparse
import asyncio
import json
import struct
import sys
import time

from pymodbus import FramerType, pymodbus_apply_logging_config
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

STATIC, COUNTING, FIXED_AT, BITS = 1000, 1000, 1100, 2000

# Address 1100: dint -2, real 25.5, lint -2, lreal 1e-3, time 1500 ms, string "PUMP 07".
FIXED = struct.pack(">ifqdq8s", -2, 25.5, -2, 1e-3, 1500, b"PUMP 07\0")


class Peer:
    """What all units share: the counter, the delays and the log."""

    def __init__(self, options):
        self.start = time.monotonic()
        self.step = options.step / 1000
        self.delays = dict(options.delay)
        self.log = open(options.log, "a", encoding="utf-8") if options.log else None

    def counter(self):
        return int((time.monotonic() - self.start) / self.step)

    def device(self, unit):
        bits = [(unit + address) % 2 == 1 for address in range(BITS)]
        registers = [(unit * 1000 + address) % 65536 for address in range(STATIC)]
        registers += [0] * (FIXED_AT - COUNTING)
        registers += struct.unpack(f">{len(FIXED) // 2}H", FIXED)
        block = lambda: [SimData(0, values=registers, datatype=DataType.REGISTERS)]
        coils = lambda: [SimData(0, values=bits, datatype=DataType.BITS)]
        return SimDevice(
            id=unit, simdata=(coils(), coils(), block(), block()), action=self.action(unit)
        )

    def action(self, unit):
        async def before_answer(function, first, address, count, registers, values):
            await asyncio.sleep(self.delays.get(unit, 0) / 1000)
            counter = self.counter()
            if function in (3, 4):
                for at in range(max(address, COUNTING), min(address + count, FIXED_AT)):
                    registers[at - first] = (counter + at - COUNTING) % 65536
            if self.log:
                entry = {
                    "time": time.time(), "unit": unit, "function": function,
                    "address": address, "count": count, "counter": counter,
                }
                if values is not None:
                    entry["written"] = [int(value) for value in values]
                self.log.write(json.dumps(entry) + "\n")
                self.log.flush()

        return before_answer


async def nobody(*_):
    return ExcCodes.GATEWAY_NO_RESPONSE


def all_others():
    """Stands for every unit that is not there."""
    block = [SimData(0, count=65536, datatype=DataType.REGISTERS)]
    return SimDevice(id=0, simdata=block, action=nobody)


async def serve(options):
    peer = Peer(options)
    devices = [all_others()] + [peer.device(unit) for unit in range(1, options.units + 1)]
    ready = []
    for name, port, framer in (
        ("tcp", options.tcp, FramerType.SOCKET),
        ("rtu-over-tcp", options.rtu_over_tcp, FramerType.RTU),
    ):
        if port is not None:
            server = ModbusTcpServer(devices, framer=framer, address=("127.0.0.1", port))
            await server.serve_forever(background=True)
            ready.append(f"{name}={server.transport.sockets[0].getsockname()[1]}")
    if options.serial:
        server = ModbusSerialServer(
            devices, framer=FramerType.RTU, port=options.serial, baudrate=options.baud
        )
        await server.serve_forever(background=True)
        ready.append(f"serial={options.serial}")
    print("READY", *ready, flush=True)
    if options.until_eof:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    else:
        await asyncio.Event().wait()


def delay(text):
    unit, milliseconds = text.split("=")
    return int(unit), float(milliseconds)


def main():
    parser = argparse.ArgumentParser(description="Modbus peer for tests")
    parser.add_argument("--tcp", type=int, metavar="PORT", help="serve Modbus TCP")
    parser.add_argument("--rtu-over-tcp", type=int, metavar="PORT", help="serve RTU frames over TCP")
    parser.add_argument("--serial", metavar="PATH", help="serve RTU on a serial port")
    parser.add_argument("--baud", type=int, default=19200)
    parser.add_argument("--units", type=int, default=1, help="units 1..N (default 1)")
    parser.add_argument("--step", type=float, default=10, metavar="MS", help="period of the counter")
    parser.add_argument(
        "--delay", type=delay, action="append", default=[], metavar="UNIT=MS", help="make a unit slow"
    )
    parser.add_argument("--log", metavar="FILE", help="append one JSON line per answer (bits in 16s)")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input does")
    options = parser.parse_args()
    pymodbus_apply_logging_config("CRITICAL")
    asyncio.run(serve(options))


if __name__ == "__main__":
    main()
