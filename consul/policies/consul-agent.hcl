# A Consul agent: it registers its own node, and reads what runs on others to
# answer look-ups.
node_prefix "" {
  policy = "write"
}
service_prefix "" {
  policy = "read"
}
