// Package provisionertest has the parts of a slice in memory, and for each
// part the tests that both it and the adapter of the real thing pass.
package provisionertest
