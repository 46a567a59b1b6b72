# A Nomad agent, as HashiCorp documents it: it registers the services of what
# runs on it. Tokens for workload identities are made by Consul itself (auth
# method), so it needs no right on ACLs.
agent_prefix "" {
  policy = "read"
}
node_prefix "" {
  policy = "read"
}
service_prefix "" {
  policy = "write"
}
