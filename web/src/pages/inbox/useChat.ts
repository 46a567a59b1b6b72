import { useEffect } from 'react';
import type { Chat } from '../../api/types';
import { findChat } from '../../live/chatPages';
import { useChats } from '../../live/queries';

/** Pages of the list that are read to find one chat: a bound, not a goal. */
const MAX_PAGES = 20;

/** The chat of a thread; when it was opened by its address, older pages of the list are read to find it. */
export function useChat(chatID: string): Chat | undefined {
  const { data, hasNextPage, isFetchingNextPage, fetchNextPage } = useChats();
  const chat = findChat(data, chatID);
  const lookFurther = data && !chat && hasNextPage && !isFetchingNextPage && data.pages.length < MAX_PAGES;
  useEffect(() => {
    if (lookFurther) void fetchNextPage();
  }, [lookFurther, fetchNextPage]);
  return chat;
}
