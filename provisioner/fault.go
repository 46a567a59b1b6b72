package provisioner

// Step names a point between two effects on the outside. Tests end the process
// there: the next run must finish the slice or leave nothing of it.
type Step string

const (
	AfterClaimNumber    Step = "after-claim-number"
	AfterProvisioning   Step = "after-provisioning"
	AfterCreateRole     Step = "after-create-role"
	AfterCreateDatabase Step = "after-create-database"
	AfterWriteVariable  Step = "after-write-variable"
	AfterRegisterJob    Step = "after-register-job"
	BeforeMarkWarm      Step = "before-mark-warm"

	AfterPurgeJob       Step = "after-purge-job"
	AfterDeleteVariable Step = "after-delete-variable"
	AfterDropDatabase   Step = "after-drop-database"
	AfterDropRole       Step = "after-drop-role"
)

// MakeSteps are passed, in this order, by a slice on its way to warm.
func MakeSteps() []Step {
	return []Step{AfterClaimNumber, AfterProvisioning, AfterCreateRole, AfterCreateDatabase,
		AfterWriteVariable, AfterRegisterJob, BeforeMarkWarm}
}

// RemoveSteps are passed, in this order, by a slice that is removed.
func RemoveSteps() []Step {
	return []Step{AfterPurgeJob, AfterDeleteVariable, AfterDropDatabase, AfterDropRole}
}
