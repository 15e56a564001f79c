"""A WebSocket client of the library websockets against a server of channels that echo.

Usage: python3 channel.py ws://host:port converse|away
"""

import asyncio
import random
import sys

from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode
from websockets.legacy.client import connect  # the one that lets frames be written

BASE, WHAT = sys.argv[1:]


def pattern(n):
    out, length = [], 0
    while length < n:
        out.append("%x," % length)
        length += len(out[-1])
    return "".join(out)[:n]


def dial(path, name, **options):
    return connect(f"{BASE}{path}?{name}", **options)


async def echoed(ws, message):
    await ws.send(message)
    expected = message if isinstance(message, (str, bytes)) else type(message[0])().join(message)
    got = await ws.recv()
    assert got == expected, f"{len(got)} of {len(expected)} came back"


async def ended(ws, code):
    """The server closes."""
    try:
        await ws.recv()
    except ConnectionClosed:
        pass
    assert ws.close_code == code, f"closed with {ws.close_code} {ws.close_reason}"


async def messages():
    for path in "/default", "/takeover", "/plain":
        async with dial(path, "messages") as ws:
            for n in 0, 1, 125, 126, 600, 65535, 65536, 1 << 19:
                await echoed(ws, pattern(n))
                await echoed(ws, pattern(n).encode())
            await echoed(ws, ["in", " ", "pieces", pattern(5000)])
            await echoed(ws, [b"in", b"", pattern(70000).encode()])
            await echoed(ws, "žluťoučký 🐎")
            await ws.close(1000, "done")


async def compression():
    for path, options, compressed, related in [
        ("/default", {}, True, False),
        ("/takeover", {}, True, True),
        ("/takeover", {"compression": None}, False, False),
        ("/plain", {}, False, False),
    ]:
        async with dial(path, "compression", **options) as ws:
            names = [e.name for e in ws.extensions]
            assert names == (["permessage-deflate"] if compressed else []), names
            count = {"read": 0, "written": 0}
            read, write = ws.data_received, ws.transport.write
            ws.data_received = lambda b: (count.update(read=count["read"] + len(b)), read(b))
            ws.transport.write = lambda b: (count.update(written=count["written"] + len(b)), write(b))

            async def over(message, times):
                count.update(read=0, written=0)
                for _ in range(times):
                    await echoed(ws, message)
                return count.items()

            for way, n in await over("ring" * 25000, 1):
                assert (n < 10000) == compressed, f"{path}: 100000 bytes took {n} {way}"
            noise = "".join('{"key": "%s"}\n' % random.random() for _ in range(100))
            for way, n in await over(noise, 30):
                assert (n < len(noise) * 30 / 4) == related, f"{path}: {len(noise)} bytes 30 times took {n} {way}"
            await ws.close(1000, "done")


async def pings():
    async with dial("/default", "pings") as ws:
        for _ in range(3):
            await (await ws.ping())
        await (await ws.ping(b"payload"))
        await echoed(ws, "behind the Pings")
        await ws.close(1000, "done")


async def answers_pings():
    async with dial("/pinged", "pinged", ping_interval=None) as ws:
        await asyncio.sleep(2.5)  # longer than the server waits for a Pong
        await echoed(ws, "still here")
        await ws.close(1000, "done")


async def codes():
    for code in 1000, 1001, 1011, 3000, 4999:
        async with dial("/default", f"code={code}") as ws:
            await ws.close(code, "enough")
            assert ws.close_code == code, ws.close_code


async def server_closes():
    async with dial("/default", "server") as ws:
        await ws.send("please close")
        await ended(ws, 4001)
        assert ws.close_reason == "bye", ws.close_reason


async def subprotocol():
    async with dial("/takeover", "subprotocol", subprotocols=["other", "chat.v2", "chat.v1"]) as ws:
        assert ws.subprotocol == "chat.v2", ws.subprotocol
        await ws.close(1000, "done")


async def too_long():
    for options in {}, {"compression": None}:
        async with dial("/small", "code=1009", **options) as ws:
            await ws.send(pattern(50000))
            await ended(ws, 1009)


async def bad_text():
    async with dial("/default", "code=1007") as ws:
        await ws.write_frame(True, Opcode.TEXT, b"caf\xe9")
        await ended(ws, 1007)
    async with dial("/default", "code=1007", compression=None) as ws:
        await ws.write_frame(False, Opcode.TEXT, b"\xf0\x9f")  # which may become a character
        await ws.write_frame(True, Opcode.CONT, b"\x90")
        await ended(ws, 1007)


async def bad_frame():
    async with dial("/default", "code=1002", compression=None) as ws:
        await ws.write_frame(True, Opcode.CONT, b"of nothing")
        await ended(ws, 1002)


async def many():
    async def one(i):
        async with dial("/default", "many") as ws:
            for j in range(5):
                await echoed(ws, f"{i}/{j} {pattern(i * j)}")
            await ws.close(1000, "done")

    await asyncio.gather(*(one(i) for i in range(100)))


CASES = [
    messages, compression, pings, answers_pings, codes, server_closes, subprotocol,
    too_long, bad_text, bad_frame, many,
]


async def run(case):
    try:
        await case()
    except Exception as e:  # it is told, and the others go on
        print(f"FAILED {case.__name__}: {type(e).__name__}: {e}")
        return False
    print(f"ok {case.__name__}")
    return True


async def away():
    """The server is stopped while there are channels."""
    all = await asyncio.gather(*(dial("/default", "away") for _ in range(3)))
    print("ready", flush=True)
    for ws in all:
        await ended(ws, 1001)
        assert ws.close_reason == "the server is stopping", ws.close_reason


async def main():
    if WHAT == "away":
        await away()
        return
    if not all(await asyncio.gather(*map(run, CASES))):
        sys.exit(1)


asyncio.run(main())
