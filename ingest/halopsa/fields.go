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

// listed reports whether a list may stand in the place r, the first of which
// counts. Under object or data it would be a batch.
func (r role) listed() bool {
	return r == rAction || r == rActions || r == rTicketAction || r == rTicketActions
}

// lookup finds the field of a name without escapes, in any letter case.
func lookup(name []byte) field {
	if len(name) == 0 {
		return other
	}
	if f, spelling := candidate(name); f != other && equalFold(name, spelling) {
		return f
	}
	return other
}

// candidate is the field that a name could be by its length and first letter.
// Hundreds of names in a full object are told to be none by these two alone.
func candidate(name []byte) (field, string) {
	switch len(name)<<8 | int(name[0]|0x20) {
	case 2<<8 | 'i':
		return fID, "id"
	case 4<<8 | 'd':
		return fData, "data"
	case 5<<8 | 'e':
		return fEvent, "event"
	case 6<<8 | 'a':
		return fAction, "action"
	case 6<<8 | 'o':
		return fObject, "object"
	case 6<<8 | 't':
		return fTicket, "ticket"
	case 7<<8 | 'a':
		return fActions, "actions"
	case 8<<8 | 'a':
		return fAgentID, "agent_id"
	case 8<<8 | 'd':
		return fDatetime, "datetime"
	case 8<<8 | 'o':
		return fObjectid, "objectid"
	case 8<<8 | 't':
		return fTicketid, "ticketid"
	case 8<<8 | 'w':
		return fWhoType, "who_type"
	case 9<<8 | 'e':
		return fEscmsgID, "escmsg_id"
	case 9<<8 | 'o':
		return fObjectID, "object_id"
	case 9<<8 | 's':
		return fStatusID, "status_id"
	case 9<<8 | 't':
		if name[2]|0x20 == 'm' {
			return fTimestamp, "timestamp"
		}
		return fTicketID, "ticket_id"
	case 10<<8 | 'n':
		return fNewStatus, "new_status"
	case 10<<8 | 'o':
		return fOldStatus, "old_status"
	case 10<<8 | 'w':
		return fWebhookID, "webhook_id"
	case 11<<8 | 'l':
		return fLastUpdate, "last_update"
	case 11<<8 | 'w':
		return fWhoAgentid, "who_agentid"
	case 13<<8 | 'h':
		return fHasbeenclosed, "hasbeenclosed"
	case 13<<8 | 't':
		return fTickettypeID, "tickettype_id"
	case 15<<8 | 'n':
		return fNotificationID, "notification_id"
	case 17<<8 | 'a':
		return fActionbyAgentID, "actionby_agent_id"
	}
	return other, ""
}
