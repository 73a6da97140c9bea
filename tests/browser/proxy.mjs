// TCP proxies on this machine, between a page and its server.

import net from 'node:net';

// On a free port. `port` is a function, since a server that is started again may have another one.
// opened(page, server, pipe) is called for each connection with its two sockets; pipe(from, to)
// forwards all that comes. `most`: so many connections were open at a time.
export async function startProxy(port, opened = (page, server, pipe) => {
    pipe(page, server);
    pipe(server, page);
}) {
    const sockets = new Set();
    let open = 0;
    let most = 0;
    const pipe = (from, to, pass = (data) => to.write(data)) => {
        from.on('data', pass);
        from.on('close', () => to.destroy());
    };
    const listener = net.createServer((page) => {
        const server = net.connect(port(), '127.0.0.1');
        most = Math.max(most, ++open);
        page.on('close', () => open--);
        for (const socket of [page, server]) {
            sockets.add(socket);
            socket.on('error', () => {});
        }
        opened(page, server, pipe);
    });
    await new Promise((done) => { listener.listen(0, '127.0.0.1', done); });
    return {
        url: `http://127.0.0.1:${listener.address().port}`,
        get most() { return most; },
        close() {
            listener.close();
            sockets.forEach((socket) => socket.destroy());
        },
    };
}
