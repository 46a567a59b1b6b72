# The gateway, for its admins: where slices run, what they use, their events
# and logs, and restarting one. It registers and stops no job, opens no shell in
# a slice (alloc-exec), and reads neither files (read-fs) nor any variable.
namespace "slices" {
  capabilities = ["read-job", "read-logs", "alloc-lifecycle"]
}

node {
  policy = "read"
}
