// The assumptions of the simulation. None of them was measured against the live service.

export interface Network {
  name: string;
  faultsPerHour: {
    /** The WebSocket is closed, HTTP works. */
    cut: number;
    /** There is no network. */
    offline: number;
    /** The WebSocket delivers nothing more, and the app does not notice. */
    silent: number;
    reload: number;
  };
  /** Mean time until the WebSocket is back, after the fault is over. */
  reconnectMs: number;
  offlineMs: number;
  /** Mean time until the death of the WebSocket is noticed. */
  silentMs: number;
}

export const NETWORKS: Network[] = [
  { name: 'good', faultsPerHour: { cut: 2, offline: 1, silent: 0.25, reload: 1 }, reconnectMs: 1000, offlineMs: 5000, silentMs: 60_000 },
  { name: 'bad', faultsPerHour: { cut: 15, offline: 12, silent: 3, reload: 3 }, reconnectMs: 3000, offlineMs: 10_000, silentMs: 60_000 },
  { name: 'terrible', faultsPerHour: { cut: 40, offline: 40, silent: 8, reload: 6 }, reconnectMs: 6000, offlineMs: 15_000, silentMs: 90_000 },
];

export interface Parameters {
  sessionMs: number;
  messageEveryMs: number;
  /** Share of messages that follow the previous one within seconds. */
  burstShare: number;
  flow: {
    /** Most flows: log-normal. */
    medianMs: number;
    sigma: number;
    /** Slow flows: 1 to 60 s, uniform. */
    slowShare: number;
    neverShare: number;
    deniedShare: number;
    failedShare: number;
  };
  /** From Chime's decision to the app, over the WebSocket. */
  eventMs: number;
  /** Share of PENDING events that arrive up to 3 s late, which is often after the result. */
  lateShare: number;
  duplicateShare: number;
  /** Share of outages after which the browser reports that the network is back. */
  onlineEventShare: number;
  /** `prefetchOn: Connect`: the last 20 sent messages on each connect. */
  prefetch: boolean;
  /** From the app to the function and back. */
  roundTripMs: number;
  /** One call of the function to Chime. */
  chimeMs: number;
  /** Other time of the function. */
  overheadMs: number;
  callsPerSecond: number;
  quotaPerSecond: number;
  /** Milliseconds after which the app that polls gives up on a message. */
  pollForMs: number;
}

export const PARAMETERS: Parameters = {
  sessionMs: 20 * 60_000,
  messageEveryMs: 40_000,
  burstShare: 0.4,
  flow: { medianMs: 400, sigma: 0.8, slowShare: 0.05, neverShare: 0.01, deniedShare: 0.05, failedShare: 0.02 },
  eventMs: 100,
  lateShare: 0.02,
  duplicateShare: 0.02,
  onlineEventShare: 0.5,
  prefetch: true,
  roundTripMs: 80,
  chimeMs: 40,
  overheadMs: 5,
  callsPerSecond: 5,
  quotaPerSecond: 10,
  pollForMs: 120_000,
};
