// Package halopsa decodes what HaloPSA, HaloITSM or a self-hosted Halo posts
// to a webhook, and promises that no content comes out of it: an event holds
// ids, enumerations and times, and nothing that a person wrote.
//
// What keeps the promise is the way of reading, not a filter after it. The
// decoder walks once over the bytes of a delivery. Of a member whose name is
// on the allow-list (fields.go) it remembers where the value stands; anything
// else it steps over, checking that it is JSON, without ever building a string
// of it. What it remembered is then read as a number, a time, or one of a few
// known words. A GUID, or a webhook's or event's name, is compared or digested
// and then forgotten. So a field that Halo adds tomorrow is content until
// somebody lists it, and errors and reports have nothing to leak.
//
// # What a delivery may look like
//
// Halo documents the envelope in words, and lets a tenant choose the payload
// (vendor's setup page). What is read here is what was seen on live tenants,
// and what public receivers of these webhooks found that they must tolerate:
//
//   - one envelope, an array of envelopes, or an object one of whose members is
//     an array of envelopes. Each item makes exactly one event, and a bad one
//     does its siblings no harm. Such an array may be called actions, too: where
//     nothing else names a ticket, and its elements name several, or say
//     themselves what happened, they are envelopes;
//   - the ticket as an object within the envelope, or only its number, or a
//     bare ticket whose id is the number; the action in any of eight places;
//   - names in any letter case; whole numbers as 4242, "4242", 4242.0 or 1e0;
//     display texts and GUIDs where a number is expected, which count as absent;
//     GUIDs in braces;
//   - times with and without a zone, with any number of decimals, and the dates
//     by which Halo says "none".
//
// # Which of several answers counts
//
// Members repeat, and differ only in case: the last one counts, whole. It is
// not merged with an earlier one, and where it is null or empty the member is
// absent, whatever an earlier one said. That is how a reader works that first
// makes an object of the text and then looks into it.
//
// The ticket is named, in this order, by ticket_id, ticketid, the ticket's own
// id, object_id, objectid, the action's ticket_id, and, where all of these are
// silent, by the outermost id if that is a number: then the object is a bare
// ticket, and its agent_id is the assignee as well as the envelope's agent. The
// envelope's id is otherwise the delivery's GUID, and never a ticket.
//
// The action is taken whole from the first place that has one: action or
// actions, which may be lists and then mean their first, object, data, then the
// same four within the ticket, then members that stand directly in the ticket or
// in the envelope, as custom payloads have them. An object or data member that has a ticket's members and none of an
// action's is the ticket, where there is no other.
//
// # Refusals
//
// An item without a ticket is undecodable, whatever else is in it: nothing that
// it says can be placed. Of the others, one from an old webhook is stale before
// its kind is asked for: what the operator has to do is to delete the webhook, not
// to look for a name.
package halopsa
