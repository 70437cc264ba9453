// Sends messages, and expects each back. client PORT
const assert = require('assert');
const { once } = require('events');
const { WebSocket } = require('/usr/share/nodejs/ws');

async function main() {
  const connection = new WebSocket(`ws://127.0.0.1:${process.argv[2]}/chat?room=1`, { maxPayload: 2 ** 24 });
  await once(connection, 'open');
  for (const length of [0, 1, 125, 126, 65535, 65536, 1000000]) {
    for (const message of ['ä'.repeat(length), Buffer.alloc(length, length % 256)]) {
      connection.send(message);
      const [answer, isBinary] = await once(connection, 'message');
      assert.strictEqual(isBinary, typeof message !== 'string');
      assert(Buffer.from(message).equals(answer), String(length));
    }
  }
  connection.ping('alive');
  const [payload] = await once(connection, 'pong');
  assert.strictEqual(payload.toString(), 'alive');
  // Many at once, in their order.
  const answers = [];
  const all = new Promise((done) => {
    connection.on('message', (answer) => answers.push(answer.toString()) === 500 && done());
  });
  for (let number = 0; number < 500; number += 1) connection.send(String(number));
  await all;
  answers.forEach((answer, number) => assert.strictEqual(answer, String(number)));
  connection.close(4321, 'enough');
  const [code] = await once(connection, 'close');
  assert.strictEqual(code, 4321);
  console.log('all came back');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
