import { request } from './http';
import type { Pool, SlicePage, SliceState } from './types';

const SLICES_PER_PAGE = 100;

export const fetchPool = (signal?: AbortSignal) => request<Pool>('/admin/pool', { signal });

export function fetchSlices(state: SliceState | null, cursor: string | null, signal?: AbortSignal) {
  const params = new URLSearchParams({ limit: String(SLICES_PER_PAGE) });
  if (state !== null) params.set('state', state);
  if (cursor !== null) params.set('cursor', cursor);
  return request<SlicePage>(`/admin/slices?${params}`, { signal });
}
