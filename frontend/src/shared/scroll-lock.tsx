import { useLayoutEffect, type ElementType, type ReactNode, type Ref } from "react";

interface RemoveScrollProps {
  as?: ElementType;
  ref?: Ref<unknown>;
  children: ReactNode;
}

let locks = 0;

/** Hides the page's scroll bar. Where there was one its place is kept, or the page would jump aside. */
function lock(): void {
  const { documentElement: page } = document;
  page.dataset["scrollLocked"] = window.innerWidth > page.clientWidth ? "gutter" : "";
}

/**
 * Stands in for `react-remove-scroll`, which Radix uses: it keeps the page behind a dialog from scrolling, without
 * writing a <style> element. The style sheet knows the attribute.
 */
export function RemoveScroll({ as: Element = "div", children, ref }: RemoveScrollProps) {
  useLayoutEffect(() => {
    if (locks === 0) lock();
    locks += 1;
    return () => {
      locks -= 1;
      if (locks === 0) delete document.documentElement.dataset["scrollLocked"];
    };
  }, []);
  return <Element ref={ref}>{children}</Element>;
}
