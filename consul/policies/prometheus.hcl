# Prometheus: where its targets are, and Consul's own metrics. It reads no key
# and no other service.
service "gateway" {
  policy = "read"
}
service "provisioner" {
  policy = "read"
}
service "nomad" {
  policy = "read"
}
service "nomad-client" {
  policy = "read"
}
service "consul" {
  policy = "read"
}
node_prefix "" {
  policy = "read" # health answers leave out the nodes one may not read
}
agent_prefix "" {
  policy = "read" # /v1/agent/metrics, and the name of the data centre
}
