module example.org/gateway-examples

go 1.24.0

require (
	github.com/coder/websocket v1.8.15
	github.com/google/uuid v1.6.0
	github.com/launchdarkly/eventsource v1.11.0
)
