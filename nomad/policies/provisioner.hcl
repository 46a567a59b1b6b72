# The provisioner: the slices' jobs and variables, and nothing outside the
# namespace `slices`. read-job also admits to the event stream of that
# namespace. It has no shell in allocations (alloc-exec), no logs and no files
# of tenants (read-logs, read-fs), and no rights on nodes.
namespace "slices" {
  capabilities = ["list-jobs", "read-job", "parse-job", "submit-job"]

  variables {
    path "nomad/jobs/slice-*" {
      capabilities = ["list", "read", "write", "destroy"]
    }
  }
}
