// Package request is what the handlers of the slice's API share: the log line,
// errors as problem+json, and cursors.
package request
