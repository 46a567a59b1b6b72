// Package socketio is a Socket.IO server (protocol 5 over Engine.IO 4) for
// servers that only tell: clients of npm's socket.io-client 4.x connect to the
// namespace "/" over long polling or WebSocket, upgrade from one to the other,
// and receive events. What clients emit is read and dropped.
//
// The protocol is described at https://socket.io/docs/v4/engine-io-protocol and
// https://socket.io/docs/v4/socket-io-protocol.
package socketio
