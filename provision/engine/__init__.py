"""Resources, probes, plans and their application: values and algorithms that know no kind of resource."""
