//! Where the core is: `::dynamo_metrics`, or where `crate = path` says.

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::Path;

/// What the macros call the core.
const NAME: &str = "dynamo_metrics";

/// `code` with another path to the core, if there is one.
pub(crate) fn moved(code: TokenStream, home: Option<&Path>) -> TokenStream {
    home.map_or(code.clone(), |home| moved_to(code, home))
}

fn moved_to(code: TokenStream, home: &Path) -> TokenStream {
    let mut out: Vec<TokenTree> = Vec::new();
    for token in code {
        match token {
            TokenTree::Ident(ident) if ident == NAME && ends_absolute(&out) => {
                out.truncate(out.len() - 2);
                out.extend(home.to_token_stream());
            }
            TokenTree::Group(group) => {
                let mut within = Group::new(group.delimiter(), moved_to(group.stream(), home));
                within.set_span(group.span());
                out.push(within.into());
            }
            other => out.push(other),
        }
    }
    out.into_iter().collect()
}

/// Whether what comes next starts a path from the root: after `::`, and nothing that this parts.
fn ends_absolute(tokens: &[TokenTree]) -> bool {
    let is_colon = |token: &TokenTree| matches!(token, TokenTree::Punct(it) if it.as_char() == ':');
    let [before @ .., one, other] = tokens else { return false };
    let follows_name = matches!(before.last(), Some(TokenTree::Ident(it)) if it != "as");
    is_colon(one) && is_colon(other) && !follows_name
}

#[cfg(test)]
mod tests {
    use quote::quote;
    use syn::parse_quote;

    use super::*;

    #[test]
    fn paths_to_the_core_are_moved_and_no_others() {
        let home: Path = parse_quote!(crate::vendor::metrics);
        let code = quote!({
            <T as ::dynamo_metrics::__private::A>::B;
            my::dynamo_metrics::__private::C;
            dynamo_metrics::D
        });
        let moved_code = moved(code.clone(), Some(&home)).to_string();
        let expected = quote!({
            <T as crate::vendor::metrics::__private::A>::B;
            my::dynamo_metrics::__private::C;
            dynamo_metrics::D
        });
        assert_eq!(moved_code, expected.to_string());
        assert_eq!(moved(code.clone(), None).to_string(), code.to_string());
    }
}
