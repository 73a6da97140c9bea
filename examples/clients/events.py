# Python, nothing to install: prints what comes; reconnects, and misses nothing.
#     python3 events.py http://127.0.0.1:8081/events?topics=temp,news
import sys, time, urllib.request

event, data, last = "", [], ""
while True:
    try:
        headers = {"Last-Event-ID": last} if last else {}
        request = urllib.request.Request(sys.argv[1], headers=headers)
        for line in urllib.request.urlopen(request, timeout=30):  # keep-alives come every 5 s
            field, _, value = line.decode().rstrip("\n").partition(": ")
            if field == "event":
                event = value
            elif field == "data":
                data.append(value)
            elif field == "id":
                last = value
            elif field == "":
                if data and event != "rtpush":
                    print(event, "\n".join(data), flush=True)
                event, data = "", []
    except OSError as error:
        print(error, file=sys.stderr)
    time.sleep(2)
