// Sends each message back. server PORT
const { WebSocketServer } = require('/usr/share/nodejs/ws');

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2]), maxPayload: 2 ** 24 });
server.on('connection', (connection) => {
  connection.on('message', (message, isBinary) => connection.send(message, { binary: isBinary }));
});
