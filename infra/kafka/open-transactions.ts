/** What of a record says whether it counts yet. */
export type Written = {
  readonly offset: number;
  /** Of the transaction it was written in; null: in none. */
  readonly producerId: string | null;
};

/** Where a transaction ended. */
export type Marker = {
  readonly offset: number;
  readonly producerId: string;
  readonly committed: boolean;
};

/**
 * Sorts out what a reader gets that does not wait for transactions: a record outside of any counts
 * at once, one of a transaction when its commit marker comes. So an open transaction holds back its
 * own records and nobody else's.
 */
export type OpenTransactions<R extends Written> = {
  /** The records that count from now on, those of a transaction in order when it committed. */
  take(records: readonly R[], markers: readonly Marker[]): readonly R[];
  /** Records that wait for a marker. */
  readonly held: number;
};

export function createOpenTransactions<R extends Written>(): OpenTransactions<R> {
  const open = new Map<string, R[]>();

  function hold(record: R, producerId: string): void {
    const records = open.get(producerId);
    if (records === undefined) open.set(producerId, [record]);
    else records.push(record);
  }

  function end({ producerId, committed }: Marker): readonly R[] {
    const records = open.get(producerId) ?? [];
    open.delete(producerId);
    return committed ? records : [];
  }

  return {
    take(records, markers) {
      if (markers.length === 0 && open.size === 0 && records.every((r) => r.producerId === null)) {
        return records;
      }
      const out: R[] = [];
      let at = 0;
      for (const record of records) {
        for (; at < markers.length; at++) {
          const marker = markers[at];
          if (marker === undefined || marker.offset > record.offset) break;
          out.push(...end(marker));
        }
        if (record.producerId === null) out.push(record);
        else hold(record, record.producerId);
      }
      for (const marker of markers.slice(at)) out.push(...end(marker));
      return out;
    },
    get held() {
      return [...open.values()].reduce((sum, records) => sum + records.length, 0);
    },
  };
}
