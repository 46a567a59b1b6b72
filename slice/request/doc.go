// Package request is what all handlers of the slice's API share: the log line,
// errors as problem+json, ids, cursors and bodies.
package request
