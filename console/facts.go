package console

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// The facts of a diagnosis are open: more may be added. Those that are known
// have words, the others show their names.

func factName(name string) string {
	words := map[string]string{
		"agents": "Agents in Halo", "matched": "Matched", "unmatched": "Unmatched", "ignored": "Ignored",
		"listed_at": "Agents listed", "users": "WorkSights users", "unmatched_because": "Unmatched because",
		"not_listed_yet": "New in Halo", "last_delivery_at": "Last delivery", "days": "Days looked at",
		"activities": "Events on timelines", "skipped": "Events not shown", "unmapped_agents": "Agents without a user",
		"mapped_since": "Agents mapped since", "webhook_active": "Webhook active", "webhook_url": "Webhook posts to",
		"events": "Webhook’s events", "checked_at": "Looked at", "connected_at": "Connected", "last_status": "Last answer to Halo",
	}
	if w := words[name]; w != "" {
		return w
	}
	return sentence(name)
}

// factValue is a fact in words; "" where there is nothing to say.
func (v *visit) factValue(name string, value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case bool:
		if value {
			return "Yes"
		}
		return "No"
	case float64:
		if value == float64(int64(value)) {
			return count(int64(value))
		}
		return score(value)
	case string:
		if strings.HasSuffix(name, "_at") {
			if t, err := time.Parse(time.RFC3339, value); err == nil {
				return ago(v.now, t.In(v.zone))
			}
		}
		return value
	case []any:
		var parts []string
		for _, item := range value {
			parts = append(parts, itemWords(item))
		}
		if len(parts) > 5 {
			parts = append(parts[:5], fmt.Sprintf("%d more", len(parts)-5))
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		var parts []string
		for _, key := range slices.Sorted(maps.Keys(value)) {
			if n, ok := value[key].(float64); ok && n > 0 {
				parts = append(parts, skipOrAgent(key)+": "+count(int64(n)))
			}
		}
		return strings.Join(parts, "; ")
	}
	return ""
}

// itemWords is one of a list: an agent with his events, or a kind.
func itemWords(item any) string {
	switch item := item.(type) {
	case string:
		return kindWord(schemas.Kind(item))
	case map[string]any:
		name, _ := item["name"].(string)
		if id, ok := item["agent_id"].(float64); ok && name == "" {
			name = "agent " + strconv.FormatInt(int64(id), 10)
		}
		if n, ok := item["events"].(float64); ok {
			return name + " (" + things(int64(n), "event", "events") + ")"
		}
		return name
	}
	return ""
}

// skipOrAgent names a reason of either kind.
func skipOrAgent(reason string) string {
	for _, r := range schemas.Reasons() {
		if string(r) == reason {
			return skipWord(r)
		}
	}
	return sentence(reason)
}
