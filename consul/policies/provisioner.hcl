# The provisioner: which slices are healthy, and the lock that makes one
# instance act.
service_prefix "slice-" {
  policy = "read"
}
node_prefix "" {
  policy = "read" # health answers leave out the nodes one may not read
}
key_prefix "platform/provisioner/leader" {
  policy = "write"
}
session_prefix "" {
  policy = "write" # sessions belong to nodes, and it may run on any
}
