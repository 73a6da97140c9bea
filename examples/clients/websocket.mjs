// Node.js with ws: prints topic and payload. A message is a record, or (empty, or an id) none.
//     node websocket.mjs 'ws://127.0.0.1:8081/ws?topics=temp'
import { WebSocket } from 'ws';

const socket = new WebSocket(process.argv[2], 'rtpush.1');
socket.on('error', (error) => console.error(error.message));
socket.on('message', (data) => {
    const [, topic, payload] = /^\S+ (\S+)\n(.*)$/s.exec(data.toString()) ?? [];
    if (topic && topic !== 'rtpush') { // that is a notice
        console.log(topic, payload);
    }
});
