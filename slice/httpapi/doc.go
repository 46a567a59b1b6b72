// Package httpapi is the slice's face to the gateway: who may ask, the JSON API
// and the Socket.IO events.
package httpapi
