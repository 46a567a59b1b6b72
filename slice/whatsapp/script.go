package whatsapp

import (
	_ "embed"
	"encoding/json"
	"strings"
)

// bindingName is the function by which the page calls into Go. It is in
// agent.js, too.
const bindingName = "__sliceEvent"

//go:embed agent.js
var agentScript string

// configScript runs before anything of the page. The defaults of wa-js report
// to Google Analytics and send links to preview servers of third parties.
const configScript = `window.WPPConfig = Object.assign({}, window.WPPConfig, {disableGoogleAnalytics: true, linkPreviewApiServers: []});`

// agentCall returns the expression that calls a function of the agent. The
// arguments become JSON, which is JavaScript, too.
func agentCall(function string, args ...any) (string, error) {
	list := make([]string, len(args))
	for i, a := range args {
		b, err := json.Marshal(a)
		if err != nil {
			return "", err
		}
		list[i] = string(b)
	}
	return "window.__slice." + function + "(" + strings.Join(list, ",") + ")", nil
}
