"""`neurocards recover`: realign streams, projections and notifier with a rewound log."""
