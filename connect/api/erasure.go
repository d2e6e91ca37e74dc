package api

import (
	"context"
	"net/http"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/internal/control"
)

// receipt makes sure that what is none is an empty array.
func receipt(e control.Erasure) control.Erasure {
	e.Stores = orNone(e.Stores)
	return e
}

func erasureRoutes(a *API) {
	add(a, route{
		method: "POST", path: tenantPath + "/erasures", id: "eraseUser", scope: access.Manage, change: "erase", status: http.StatusAccepted,
		summary: "Erase a person",
		about: "Takes the user out of the directory, ends his mappings, and removes what arrived before from the timeline and from every topic. " +
			"It is out of every view within a minute; the receipt names each store and when nothing of it is left there. " +
			"He may be put into the directory again: what arrives from then on counts.",
		says: "The receipt",
	}, func(ctx context.Context, c *call, in *struct {
		InTenant
		Body control.ErasureRequest
	},
	) (*answer[control.Erasure], error) {
		if fault := checkUser(in.Body.UserID); fault != "" {
			return nil, invalid("body.%s.", fault)
		}
		e, err := a.cfg.Tenants.Erase(ctx, c.tenant, c.grant.Name, in.Body.UserID)
		return &answer[control.Erasure]{receipt(e)}, err
	})
	add(a, route{
		method: "GET", path: tenantPath + "/erasures", id: "getErasures", scope: access.Read,
		summary: "The receipts of what was erased, newest first", about: "Also of a tenant that was erased.", says: "Receipts",
	}, func(ctx context.Context, c *call, _ *InTenant) (*answer[control.Erasures], error) {
		list, err := a.cfg.Tenants.Erasures(ctx, c.tenant)
		list = orNone(list)
		for i := range list {
			list[i] = receipt(list[i])
		}
		return &answer[control.Erasures]{control.Erasures{Erasures: list}}, err
	})
	add(a, route{
		method: "DELETE", path: tenantPath, id: "eraseTenant", scope: access.Manage, change: "erase_tenant", status: http.StatusAccepted,
		summary: "Disconnect the tenant and erase it everywhere",
		about:   "A repeat answers the same receipt. The tenant may connect anew.",
		says:    "The receipt", refuses: map[int]string{http.StatusNotFound: "unknown_tenant: nothing is known of it"},
	}, func(ctx context.Context, c *call, _ *InTenant) (*answer[control.Erasure], error) {
		e, err := a.cfg.Tenants.EraseTenant(ctx, c.tenant, c.grant.Name)
		return &answer[control.Erasure]{receipt(e)}, err
	})
}
