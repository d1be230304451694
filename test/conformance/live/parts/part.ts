// What a part of the live bootstrap is.

/** Listeners and clusters that a group of cases adds. */
export interface BootstrapPart {
  readonly listeners: readonly object[];
  readonly clusters: readonly object[];
}
