# Python with websockets (Debian: python3-websockets): prints topic and payload.
#     python3 websocket.py 'ws://127.0.0.1:8081/ws?topics=temp'
import asyncio, sys, websockets

async def main():
    async with websockets.connect(sys.argv[1], subprotocols=["rtpush.1"]) as socket:
        async for message in socket:
            head, _, payload = message.partition("\n")
            topic = head.partition(" ")[2]
            if topic not in ("", "rtpush"):  # a position, a notice
                print(topic, payload, flush=True)

asyncio.run(main())
