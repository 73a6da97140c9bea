// npm http-proxy behind compression, as development servers have it.
//     node http-proxy.mjs PORT TARGET_PORT
import http from 'node:http';
import process from 'node:process';
import compression from 'compression';
import httpProxy from 'http-proxy';

const [port, target] = process.argv.slice(2);
const compress = compression({ threshold: 0 });
const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
const proxy = httpProxy.createProxyServer({
  target: `http://127.0.0.1:${target}`, agent, xfwd: true, ws: true,
});
proxy.on('error', (error, req, res) => {
  if (res && 'writeHead' in res && !res.headersSent) {
    res.writeHead(502);
    res.end(error.message);
  } else {
    res?.destroy();
  }
});
const server = http.createServer((req, res) => {
  compress(req, res, () => {
    console.log(`sent ${req.url}`);
    proxy.web(req, res);
  });
});
server.on('upgrade', (req, socket, head) => proxy.ws(req, socket, head));
server.listen(Number(port), '127.0.0.1');
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => process.exit(0));
}
