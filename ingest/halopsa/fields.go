package halopsa

// field is a member that may be read: the allow-list. The zero field is every
// other one.
type field uint8

const (
	other field = iota

	// Members whose values are read. Where each may stand is in allowed.
	fID
	fTicketID
	fTicketid // as some payloads spell it
	fObjectID
	fObjectid
	fAgentID
	fStatusID
	fTickettypeID
	fHasbeenclosed
	fLastUpdate
	fWhoType
	fWhoAgentid
	fActionbyAgentID
	fOldStatus
	fNewStatus
	fDatetime
	fWebhookID
	fNotificationID
	fEscmsgID
	fEvent
	fTimestamp
	numValues

	// Members that hold an object whose members are read.
	fTicket field = iota - 1
	fAction
	fActions
	fObject
	fData
)

// fields is a set.
type fields uint32

const (
	// A ticket's own members. The last three are listed because they tell a
	// ticket from other objects that have an id.
	ticketFields fields = 1<<fID | 1<<fAgentID | ticketMarks
	ticketMarks  fields = 1<<fStatusID | 1<<fLastUpdate | 1<<fTickettypeID | 1<<fHasbeenclosed

	// An action's own members. old_status is listed because it marks an action;
	// it says nothing of the kind, since ordinary notes carry it too.
	actionFields fields = 1<<fID | actionMarks
	actionMarks  fields = 1<<fTicketID | 1<<fTicketid | looseMarks
	looseMarks   fields = 1<<fWhoType | 1<<fWhoAgentid | 1<<fActionbyAgentID | 1<<fOldStatus | 1<<fNewStatus | 1<<fDatetime

	envelopeFields fields = 1<<fID | 1<<fTicketID | 1<<fTicketid | 1<<fObjectID | 1<<fObjectid | 1<<fAgentID |
		1<<fWebhookID | 1<<fNotificationID | 1<<fEscmsgID | 1<<fEvent | 1<<fTimestamp
)

// role is the place in which an object stands, which says what may be read of
// it.
type role uint8

const (
	rEnvelope role = iota
	rTicket

	// The places of an action, in the order in which they are asked.
	rAction
	rActions
	rObject
	rData
	rTicketAction
	rTicketActions
	rTicketObject
	rTicketData
	numRoles
)

// allowed is the allow-list by place.
func (r role) allowed() fields {
	switch r {
	case rEnvelope:
		return envelopeFields | ticketFields | looseMarks
	case rTicket:
		return ticketFields | looseMarks
	case rObject, rData:
		return actionFields | ticketFields
	default:
		return actionFields
	}
}

// child is the place that member f of an object in place r opens.
func (r role) child(f field) (role, bool) {
	switch {
	case r == rEnvelope && f == fTicket:
		return rTicket, true
	case r == rEnvelope && f >= fAction:
		return rAction + role(f-fAction), true
	case r == rTicket && f >= fAction:
		return rTicketAction + role(f-fAction), true
	}
	return 0, false
}

// The shortest and the longest name of the allow-list.
const (
	minName = len("id")
	maxName = len("actionby_agent_id")
)

// lookup finds the field of a name without escapes, in any letter case.
func lookup(name []byte) field {
	if len(name) < minName || len(name) > maxName {
		return other
	}
	var buf [maxName]byte
	for i, c := range name {
		buf[i] = lower(c)
	}
	switch string(buf[:len(name)]) {
	case "id":
		return fID
	case "ticket_id":
		return fTicketID
	case "ticketid":
		return fTicketid
	case "object_id":
		return fObjectID
	case "objectid":
		return fObjectid
	case "agent_id":
		return fAgentID
	case "status_id":
		return fStatusID
	case "tickettype_id":
		return fTickettypeID
	case "hasbeenclosed":
		return fHasbeenclosed
	case "last_update":
		return fLastUpdate
	case "who_type":
		return fWhoType
	case "who_agentid":
		return fWhoAgentid
	case "actionby_agent_id":
		return fActionbyAgentID
	case "old_status":
		return fOldStatus
	case "new_status":
		return fNewStatus
	case "datetime":
		return fDatetime
	case "webhook_id":
		return fWebhookID
	case "notification_id":
		return fNotificationID
	case "escmsg_id":
		return fEscmsgID
	case "event":
		return fEvent
	case "timestamp":
		return fTimestamp
	case "ticket":
		return fTicket
	case "action":
		return fAction
	case "actions":
		return fActions
	case "object":
		return fObject
	case "data":
		return fData
	}
	return other
}
