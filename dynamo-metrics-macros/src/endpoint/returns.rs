//! What a function returns, as far as its type is written out: where a call ends depends on it.

use syn::visit::{self, Visit};
use syn::{
    AngleBracketedGenericArguments, Error, GenericArgument, Path, PathArguments, PathSegment,
    Result, ReturnType, Type, TypeParamBound, parse_quote,
};

use super::parse::{Stream, Unit};

/// What a function returns.
#[derive(Clone)]
pub(super) struct Returns {
    pub(super) kind: Kind,
    /// It stands in an `Ok`, or does not stand there.
    pub(super) fallible: bool,
}

#[derive(Clone)]
pub(super) enum Kind {
    /// A value, or a response; the call's end is found by the value's type.
    Value,
    /// Nothing, ever.
    Never,
    /// A stream, boxed again if it came boxed.
    Stream { boxed: bool },
    /// A stream of bytes, whose events are read.
    Bytes { boxed: bool },
    /// A stream in a response that can be mapped, as tonic has it.
    Mapped { boxed: bool },
    /// An `impl IntoResponse`, which may as well be the response that it is made into.
    IntoResponse,
    /// An axum `Sse` of a stream, which is measured where the `Sse` is made.
    Sse { boxed: bool },
    /// A future of something; only where the function is not itself asynchronous.
    Future { boxed: bool, output: Box<Returns>, output_type: Box<Type> },
}

impl Kind {
    /// Whether the value is a stream, alone or in a response, which is no error itself.
    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Self::Stream { .. } | Self::Bytes { .. } | Self::Mapped { .. })
    }
}

impl Returns {
    pub(super) fn read(output: &ReturnType, futures: bool, told: Option<&Stream>) -> Result<Self> {
        match output {
            ReturnType::Type(_, output) => Self::read_type(output, futures, told),
            ReturnType::Default => match told {
                Some(told) => {
                    Err(Error::new(told.span, "`stream` on a function that returns nothing"))
                }
                None => Ok(Self { kind: Kind::Value, fallible: false }),
            },
        }
    }

    fn read_type(output: &Type, futures: bool, told: Option<&Stream>) -> Result<Self> {
        if futures && let Some((boxed, output_type)) = future(output) {
            let output = Box::new(Self::read_type(&output_type, false, told)?);
            let output_type = Box::new(output_type);
            let kind = Kind::Future { boxed, output, output_type };
            return Ok(Self { kind, fallible: false });
        }
        let (value, fallible) = match ok_type(output) {
            Some(value) => (value, true),
            None => (output, false),
        };
        Kind::read(bare(value), told).map(|kind| Self { kind, fallible })
    }

    /// Whether tokens may be found in it.
    pub(super) fn may_stream(&self, output: &ReturnType) -> bool {
        match &self.kind {
            Kind::Never => false,
            Kind::Value => {
                let mut named = Named { found: false };
                named.visit_return_type(output);
                named.found
            }
            Kind::Future { output, output_type, .. } => {
                output.may_stream(&ReturnType::Type(<_>::default(), output_type.clone()))
            }
            _ => true,
        }
    }
}

impl Kind {
    fn read(value: &Type, told: Option<&Stream>) -> Result<Self> {
        if let Type::Never(_) = value {
            return Ok(Self::Never);
        }
        let unit = told.and_then(|told| told.unit);
        let kind = if let Some(boxed) = is_stream(value) {
            match unit {
                Some((Unit::Grpc, span)) => {
                    return Err(Error::new(span, "`grpc` is for tonic's `Response` of a stream"));
                }
                Some((Unit::Frames, span)) => {
                    return Err(Error::new(span, "`frames` is for HTTP responses"));
                }
                Some((Unit::Sse, _)) => Self::Bytes { boxed },
                _ => Self::Stream { boxed },
            }
        } else if let Some(inner) = last(value).filter(|last| last.ident == "Response") {
            Self::of_response(type_argument(inner), told)?
        } else if is_impl(value, |name| name == "IntoResponse") {
            Self::of_http(told)?;
            Self::IntoResponse
        } else if let Some(boxed) = sse(value) {
            match unit {
                Some((Unit::Grpc | Unit::Frames, span)) => {
                    return Err(Error::new(span, "the items of an `Sse` are events"));
                }
                _ => Self::Sse { boxed },
            }
        } else {
            match told {
                None => Self::Value,
                // A trait of another name may well be a stream's.
                Some(_) if is_impl(value, |_| true) => Self::Stream { boxed: false },
                Some(told) => {
                    return Err(Error::new(
                        told.span,
                        "`stream` needs a return type that a measured stream fits into: `impl \
                         Stream`, or a boxed one",
                    ));
                }
            }
        };
        match (&kind, told) {
            (Self::Value | Self::IntoResponse | Self::Bytes { .. }, Some(told)) => {
                match told.first.as_ref().or(told.count.as_ref()) {
                    Some(function) => Err(Error::new_spanned(
                        function,
                        "only the items of a stream can be looked at; those of a body are read",
                    )),
                    None => Ok(kind),
                }
            }
            _ => Ok(kind),
        }
    }

    /// `Response<..>`, of `http` or of tonic.
    fn of_response(inner: Option<&Type>, told: Option<&Stream>) -> Result<Self> {
        if let Some(boxed) = inner.and_then(is_stream) {
            return Ok(Self::Mapped { boxed });
        }
        let of_body =
            inner.and_then(last).is_none_or(|last| last.ident.to_string().ends_with("Body"));
        match told.map(|told| told.unit) {
            Some(None | Some((Unit::Items | Unit::Grpc, _))) if !of_body => {
                Ok(Self::Mapped { boxed: true })
            }
            _ => Self::of_http(told).map(|()| Self::Value),
        }
    }

    /// A response of HTTP, whose body is read as its head says, or as an argument does.
    fn of_http(told: Option<&Stream>) -> Result<()> {
        match told {
            None | Some(Stream { unit: Some((Unit::Sse | Unit::Frames, _)), .. }) => Ok(()),
            Some(told) => Err(Error::new(
                told.span,
                "`stream` is for functions that return a stream: the body of a `Response` is \
                 measured to its end without it",
            )),
        }
    }
}

/// A type without the parentheses, seen or not, that it came in.
pub(super) fn bare(mut written: &Type) -> &Type {
    loop {
        written = match written {
            Type::Paren(it) => &it.elem,
            Type::Group(it) => &it.elem,
            other => return other,
        };
    }
}

/// The last segment of a path.
fn last(written: &Type) -> Option<&PathSegment> {
    match bare(written) {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// `T` of a type that is written `..Result<T, ..>`.
fn ok_type(output: &Type) -> Option<&Type> {
    type_argument(last(output).filter(|last| last.ident == "Result")?)
}

/// Whether a type is written as a future, and if so, whether as a boxed one, and what of.
fn future(output: &Type) -> Option<(bool, Type)> {
    if let Type::ImplTrait(it) = bare(output) {
        return bound(&it.bounds, |name| name == "Future").map(|path| (false, output_of(path)));
    }
    let last = last(output)?;
    if last.ident == "BoxFuture" || last.ident == "LocalBoxFuture" {
        // An alias of the user's own, which has no lifetime, may be of anything.
        let futures_own = type_argument(last).filter(|_| has_lifetime(last));
        return Some((true, futures_own.map_or_else(|| parse_quote!(_), Type::clone)));
    }
    let bounds = boxed_trait(last)?;
    bound(bounds, |name| name == "Future").map(|path| (true, output_of(path)))
}

/// `T` of `Future<Output = T>`.
fn output_of(path: &Path) -> Type {
    let arguments = path.segments.last().map(|last| &last.arguments);
    let Some(PathArguments::AngleBracketed(arguments)) = arguments else {
        return parse_quote!(());
    };
    let output = arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(it) if it.ident == "Output" => Some(it.ty.clone()),
        _ => None,
    });
    output.unwrap_or_else(|| parse_quote!(()))
}

/// Whether a type is written as a stream, and if so, whether as a boxed one.
fn is_stream(output: &Type) -> Option<bool> {
    let is = |name: &str| name == "Stream" || name == "TryStream";
    if is_impl(output, is) {
        return Some(false);
    }
    let last = last(output)?;
    if last.ident == "BoxStream" || last.ident == "LocalBoxStream" {
        return Some(true);
    }
    bound(boxed_trait(last)?, is).map(|_| true)
}

/// The bounds of `Pin<Box<dyn ..>>`.
fn boxed_trait(pin: &PathSegment) -> Option<impl IntoIterator<Item = &TypeParamBound>> {
    let inner = type_argument(pin).filter(|_| pin.ident == "Pin")?;
    match type_argument(last(inner).filter(|inner| inner.ident == "Box")?)? {
        Type::TraitObject(it) => Some(&it.bounds),
        _ => None,
    }
}

/// Whether a type holds an `Sse` of a stream, and if so, whether of a boxed one.
fn sse(output: &Type) -> Option<bool> {
    struct Find(Option<bool>);

    impl<'ast> Visit<'ast> for Find {
        fn visit_path_segment(&mut self, it: &'ast PathSegment) {
            if it.ident == "Sse"
                && let Some(inner) = type_argument(it)
            {
                // The keep-alives of axum go around the stream.
                let kept = last(inner).filter(|last| last.ident == "KeepAliveStream");
                self.0 = is_stream(kept.and_then(type_argument).unwrap_or(inner));
            }
            visit::visit_path_segment(self, it);
        }
    }

    let mut find = Find(None);
    find.visit_type(output);
    find.0
}

/// Whether a response, or what is made into one, is named.
struct Named {
    found: bool,
}

impl<'ast> Visit<'ast> for Named {
    fn visit_path_segment(&mut self, it: &'ast PathSegment) {
        let name = it.ident.to_string();
        self.found |= name == "Sse" || name.ends_with("Response");
        visit::visit_path_segment(self, it);
    }
}

fn type_argument(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(AngleBracketedGenericArguments { args, .. }) =
        &segment.arguments
    else {
        return None;
    };
    args.iter().find_map(|argument| match argument {
        GenericArgument::Type(inner) => Some(bare(inner)),
        _ => None,
    })
}

fn has_lifetime(segment: &PathSegment) -> bool {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return false };
    arguments.args.iter().any(|argument| matches!(argument, GenericArgument::Lifetime(_)))
}

/// Whether a future's type is one that may not hold what the function was lent.
pub(super) fn outlives(output: &ReturnType) -> bool {
    let ReturnType::Type(_, output) = output else { return false };
    if let Type::ImplTrait(it) = bare(output) {
        let captures = |it: &TypeParamBound| matches!(it, TypeParamBound::PreciseCapture(_));
        return it.bounds.iter().any(|it| is_static(it) == Some(true) || captures(it));
    }
    let Some(last) = last(output) else { return false };
    match (boxed_trait(last), &last.arguments) {
        // A trait object is `'static` unless it says otherwise.
        (Some(bounds), _) => bounds.into_iter().find_map(is_static).unwrap_or(true),
        (None, PathArguments::AngleBracketed(it)) => it.args.iter().any(
            |it| matches!(it, GenericArgument::Lifetime(lifetime) if lifetime.ident == "static"),
        ),
        _ => false,
    }
}

/// Of a bound that is a lifetime, whether that is `'static`.
fn is_static(bound: &TypeParamBound) -> Option<bool> {
    match bound {
        TypeParamBound::Lifetime(lifetime) => Some(lifetime.ident == "static"),
        _ => None,
    }
}

/// Whether a type is written as `impl` of a trait of such a name.
fn is_impl(written: &Type, fits: impl Fn(&str) -> bool) -> bool {
    matches!(bare(written), Type::ImplTrait(it) if bound(&it.bounds, fits).is_some())
}

fn bound<'a>(
    bounds: impl IntoIterator<Item = &'a TypeParamBound>,
    fits: impl Fn(&str) -> bool,
) -> Option<&'a Path> {
    bounds.into_iter().find_map(|bound| match bound {
        TypeParamBound::Trait(bound) => {
            let last = bound.path.segments.last()?;
            fits(&last.ident.to_string()).then_some(&bound.path)
        }
        _ => None,
    })
}
