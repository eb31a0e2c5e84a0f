"""A NATS client that neofn's authors did not write: nats-py. Reads commands as JSON lines, answers JSON lines."""
import asyncio, base64, json, sys
import nats
from nats.errors import NoRespondersError, TimeoutError as NatsTimeout

async def main(url, inbox):
    nc = await nats.connect(
        url.split(","), max_reconnect_attempts=-1, reconnect_time_wait=0.2, inbox_prefix=inbox.encode())
    js = nc.jetstream()
    results, subs = {}, {}
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    def show(msg):
        try: body = json.loads(msg.data) if msg.data else None
        except ValueError: body = msg.data.decode("latin-1")
        return {"subject": msg.subject, "headers": dict(msg.headers or {}), "body": body}

    async def one(cmd):
        do = cmd["do"]
        data = base64.b64decode(cmd["data64"]) if "data64" in cmd else cmd.get("data", "").encode()
        headers = cmd.get("headers") or None
        try:
            if do == "request":
                msg = await nc.request(cmd["subject"], data, timeout=cmd.get("timeout", 30), headers=headers)
                return show(msg)
            if do == "publish":
                await nc.publish(cmd["subject"], data, reply=cmd.get("reply", ""), headers=headers)
                await nc.flush()
                return {}
            if do == "js":
                ack = await js.publish(cmd["subject"], data, headers=headers, timeout=10)
                return {"stream": ack.stream, "seq": ack.seq, "duplicate": bool(ack.duplicate)}
            if do == "subscribe":
                subs[cmd["subject"]] = await nc.subscribe(cmd["subject"])
                await nc.flush()
                return {}
            if do == "next":
                return show(await subs[cmd["subject"]].next_msg(timeout=cmd.get("timeout", 30)))
            if do == "last":
                msg = await js.get_last_msg(cmd["stream"], cmd["subject"])
                return {"body": json.loads(msg.data)}
            if do == "flood":
                # into a stream, each under an id of its own
                room = asyncio.Semaphore(256)
                async def push(n):
                    async with room:
                        await js.publish(cmd["subject"], data, headers={"Nats-Msg-Id": f"flood-{n}"}, timeout=30)
                await asyncio.gather(*(push(n) for n in range(cmd["count"])))
                return {}
            if do == "many":
                # all at once: {subject, count, data with %d}
                async def send(n):
                    try:
                        msg = await nc.request(cmd["subject"], (cmd["data"] % n).encode(), timeout=60, headers=headers)
                        return json.loads(msg.data)
                    except Exception as e:
                        return {"lost": type(e).__name__}
                return {"answers": await asyncio.gather(*(send(n) for n in range(cmd["count"])))}
            return {"error": "unknown"}
        except NoRespondersError:
            return {"error": "no responders"}
        except (NatsTimeout, asyncio.TimeoutError):
            return {"error": "timeout"}
        except Exception as e:
            return {"error": f"{type(e).__name__}: {e}"}

    while True:
        line = await reader.readline()
        if not line:
            break
        print(json.dumps(await one(json.loads(line))), flush=True)
    await nc.close()

asyncio.run(main(*sys.argv[1:3]))
