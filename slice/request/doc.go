// Package request is what the handlers of the slice's API share: the log line,
// errors as problem+json, the checks of inputs, and cursors.
package request
