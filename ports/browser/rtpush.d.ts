// The types of rtpush.js, which says what each thing is.

export type State = 'connecting' | 'open' | 'silent' | 'waiting' | 'refused' | 'hidden' | 'closed';

export interface Status {
    readonly state: State;
    /** Name of the transport in use or being tried; of a shared connection its own. */
    readonly transport: string;
    /** 401 or 403 since the server refused, until it is up again; else 0. */
    readonly refusal: number;
    /** Date.now() of the next attempt while waiting or refused, else 0. */
    readonly retryAt: number;
}

export type Data = string | Uint8Array;
export type Kind = 'fresh' | 'replayed' | 'gap' | 'reset' | 'expired';

/** What a transport reports to. Ignores what comes after close(). */
export interface Host {
    readonly topics: readonly string[];
    readonly transports: readonly Transport[];
    /** Seconds within which something comes. */
    period(): number;
    /** The URL anew, with another ticket. */
    address(query?: string): Promise<URL>;
    take(topic?: string, data?: Data, id?: string): void;
    down(status?: number): void;
    enter(state: State, ms: number, then: () => void, more?: Partial<Status>): void;
}

export interface Link {
    close(): void;
    send?(data: string | BufferSource): unknown;
}

export interface Transport {
    readonly name: string;
    readonly path: string;
    /** tabs: this file as served, for a page that is a bundle. */
    readonly script?: string | URL;
    open(url: URL, host: Host): Link;
}

export interface Options {
    transports: readonly Transport[];
    url?: string | URL;
    topics?: readonly string[];
    lastEventId?: string;
    ticket?: () => string | Promise<string>;
    establishMs?: number;
    backoffMs?: number;
    hiddenMs?: number;
    onEvent?(topic: string, data: Data, id: string): void;
    onNotice?(kind: Kind, n: number, id?: string): void;
    onMessage?(data: Data): void;
    onState?(status: Status): void;
}

export interface Client {
    readonly status: Status;
    readonly lastEventId: string;
    reconnect(delayMs?: number): void;
    close(): void;
    /** True when handed over to a WebSocket, undefined where the transport cannot. */
    send(data: string | BufferSource): Promise<true | undefined>;
}

export interface DuplexOptions extends Options {
    control?: string;
}

export interface Duplex extends Omit<Client, 'send'> {
    send(data: string | BufferSource): Promise<unknown>;
    /** Resolves to the server's words when it has done it, exactly once. */
    send(text: string, options: { ack: true }): Promise<string>;
}

export const websocket: Transport;
export const sse: Transport;
export const poll: Transport;
/** One connection for all tabs. */
export const tabs: Transport;

export function connect(options: Options): Client;
export function duplex(options: DuplexOptions): Duplex;
export default function connectAll(
    options?: Omit<DuplexOptions, 'transports'> & Partial<Pick<Options, 'transports'>>): Duplex;

export function parseEvents(text: string, lastId: string,
    onRecord: (topic: string, data: string, id: string) => void): string;
export function parseMessage(message: string | ArrayBuffer):
    { id?: string; topic?: string; data?: Data } | null;
