// Connects with the transports and headers it is given, and prints a line of
// JSON for everything that happens. It ends when its input ends.
import { io } from 'socket.io-client';

const [url, transports, headers] = process.argv.slice(2);
const say = (what, data) => console.log(JSON.stringify({ what, data: data === undefined ? null : data }));
const socket = io(url, {
  transports: transports.split(','),
  extraHeaders: JSON.parse(headers),
  reconnectionDelay: 50,
  reconnectionDelayMax: 100,
});
socket.on('connect', () => {
  say('connect', socket.io.engine.transport.name);
  socket.io.engine.once('upgrade', (transport) => say('upgrade', transport.name));
});
socket.on('disconnect', (reason) => say('disconnect', reason));
socket.on('connect_error', (error) => say('connect_error', error.message));
socket.onAny((event, data) => say('event:' + event, data));
process.stdin.on('data', (line) => {
  if (String(line).startsWith('emit')) socket.emit('from client', { is: 'dropped' });
});
process.stdin.on('end', () => { socket.close(); process.exit(0); });
