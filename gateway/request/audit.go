package request

import (
	"context"

	"ipnoelp.io/platform"
)

// Audit begins the audit entry of something that whoever sends the request does
// to a subject.
func Audit(ctx context.Context, action, subjectType, subjectID string) platform.AuditEntry {
	info := From(ctx)
	actor := info.UserID
	if info.ImpersonatorID != "" {
		actor = info.ImpersonatorID
	}
	return platform.AuditEntry{
		ActorID: actor, Action: action, SubjectType: subjectType, SubjectID: subjectID,
		RequestID: info.ID, ClientAddr: info.ClientAddr,
	}
}
