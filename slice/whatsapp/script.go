package whatsapp

import (
	"embed"
	"encoding/json"
	"strings"
)

// bindingName is the function by which the page calls into Go. It is in
// agent/base.js, too.
const bindingName = "__sliceEvent"

//go:embed agent/*.js
var agentFiles embed.FS

// agentParts are the files of the agent in the order in which they are joined.
var agentParts = []string{"base", "state", "pairing", "passkey", "models", "read", "files", "send", "change", "profile", "events", "start"}

// agentScript is what is evaluated in each document: one function, so that
// nothing but its result gets into the page's own scope.
var agentScript = func() string {
	var b strings.Builder
	b.WriteString("(() => {\n")
	for _, name := range agentParts {
		b.WriteString(agentPart(name))
	}
	b.WriteString("})()")
	return b.String()
}()

func agentPart(name string) string {
	part, err := agentFiles.ReadFile("agent/" + name + ".js")
	if err != nil {
		panic(err) // it is embedded
	}
	return string(part)
}

// configScript runs before anything of the page; running it again changes
// nothing. The defaults of wa-js report to Google Analytics and send links to
// preview servers of third parties.
var configScript = agentPart("hook") + `window.WPPConfig = Object.assign({}, window.WPPConfig, {disableGoogleAnalytics: true, linkPreviewApiServers: []});`

// agentCall returns the expression that calls a function of the agent, and null
// in a document without one. The arguments become JSON, which is JavaScript, too.
func agentCall(function string, args ...any) (string, error) {
	if args == nil {
		args = []any{}
	}
	list, err := json.Marshal(args)
	if err != nil {
		return "", err
	}
	return `window.__slice ? window.__slice.call("` + function + `",` + string(list) + `) : null`, nil
}
