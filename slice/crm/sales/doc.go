// Package sales is the pipeline, with its stages and deals, and the tasks.
//
// Deals of a stage have a total order. Whoever changes it holds a lock on the
// stage's row, taken before any lock on a deal; stages themselves change under a
// lock on their table, taken before that.
package sales
