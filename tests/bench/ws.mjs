// The npm package ws as a peer to compare with: the paths of bare.c. Usage: node ws.mjs
import { createRequire } from "node:module";
import http from "node:http";

const { WebSocketServer } = createRequire(new URL("../clients/", import.meta.url))("ws");
const readers = new Set();
const streams = new Set();
let seq = 0;

const hex = (n) => n.toString(16).padStart(8, "0");

function publish(data) {
    for (const ws of readers) ws.send(data, { binary: false });
    if (streams.size > 0) {
        const block = `id: 00000000-${hex(++seq)}\nevent: a\ndata: ${data}\n\n`;
        for (const res of streams) res.write(block);
    }
}

const server = http.createServer((req, res) => {
    res.removeHeader("Transfer-Encoding"); // no chunks: the client does not read them
    res.writeHead(200, { "Content-Type": "text/event-stream" });
    res.write(`retry: 1\nid: 00000000-${hex(seq)}\ndata: fresh\n\n`);
    streams.add(res);
    res.on("close", () => streams.delete(res));
});

new WebSocketServer({ server, perMessageDeflate: false }).on("connection", (ws, req) => {
    if (!req.url.startsWith("/ws")) {
        ws.on("message", (data, binary) => ws.send(data, { binary }));
    } else if (req.url.includes("publish=")) {
        ws.on("message", publish);
    } else {
        readers.add(ws);
        ws.on("close", () => readers.delete(ws));
    }
});

server.listen(0, "127.0.0.1", 4096, () => {
    console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
