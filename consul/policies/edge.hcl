# nginx at the edge learns the gateways' addresses, nothing else.
service "gateway" {
  policy = "read"
}
node_prefix "" {
  policy = "read"
}
