"""Sends messages, and expects each back. client PORT"""

import asyncio
import sys

import websockets


async def main():
    url = f"ws://127.0.0.1:{sys.argv[1]}/chat?room=1"
    async with websockets.connect(url, max_size=2**24) as connection:
        for length in [0, 1, 125, 126, 65535, 65536, 1_000_000]:
            for message in ["ä" * length, bytes([length % 256]) * length]:
                await connection.send(message)
                assert await connection.recv() == message, length
        await asyncio.wait_for(await connection.ping(b"alive"), 10)
        # Many at once, in their order.
        for number in range(500):
            await connection.send(str(number))
        for number in range(500):
            assert await connection.recv() == str(number)
        await connection.close(code=4321, reason="enough")
        assert connection.close_code == 4321, connection.close_code
    print("all came back")


asyncio.run(main())
