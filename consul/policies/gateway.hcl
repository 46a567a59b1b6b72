# The gateway: where slices are, nothing else.
service_prefix "slice-" {
  policy = "read"
}
node_prefix "" {
  policy = "read" # health answers leave out the nodes one may not read
}
